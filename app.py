"""Bardlab's entry: `streamlit run app.py`.

The pages are framed by pages/frame.py. Starting through `st.App` gives a hook before the first visitor, in which the
slow imports are done and a worker is put on standby; and it keeps Streamlit from reading the folder `pages/` as an app
of its old kind, which would greet the first deep link with "Page not found".
"""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
from streamlit.web.server.starlette import App


@asynccontextmanager
async def ready(app: App) -> AsyncIterator[None]:
    """Do once what every visitor would wait for.

    Streamlit collects garbage after every rerun of a script; what is loaded here for good is taken out of its sight,
    or each look at torch's hundred thousand objects would cost 0.15 s.
    """
    from core import devices, jobs, stages
    from pages.ui import cached, charts, rung  # noqa: F401

    devices.limit_threads()
    jobs.warm()
    text = cached.corpus()
    cached.corpus_landmarks(text.sha256, text.name)
    for stage in stages.STAGES.values():
        cached.cost(stage.key, *stage.settings(stage.default_preset, {}, {}), text.tokenizer.size)
    gc.collect()
    gc.freeze()
    yield


app = st.App(Path(__file__).parent / "pages" / "frame.py", lifespan=ready)
