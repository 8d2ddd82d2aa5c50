"""The ladder: all rungs on one text and one loss."""

import math

import streamlit as st

from core import runs
from core.stages import STAGES
from pages.ui import cached, state, words
from pages.ui.charts import loss_ladder
from pages.ui.page_table import rung_page

state.notices()
corpus = cached.corpus()
st.markdown(
    "Bardlab trains language models on the plays of Shakespeare, one character at a time, and lets you watch. "
    "Each rung of the ladder is a better idea of what comes next; all are judged by one number, the loss on text they "
    "have never seen. **Pick a rung, press Train, and see the number fall.**"
)
marks = cached.corpus_landmarks(corpus.sha256, corpus.name)
everything = [run for run in runs.list_runs(shipped=True) if run.config and not run.damage]
best = {}
for key in STAGES:
    done = [
        r
        for r in everything
        if r.stage == key and r.status.best_val_loss is not None and r.config.corpus == corpus.name
    ]
    best[key] = min(done, key=lambda r: r.status.best_val_loss, default=None)

for key, stage in STAGES.items():
    with st.container(border=True):
        left, right = st.columns([3, 2], gap="large")
        left.page_link(rung_page(key), label=f"**{stage.title}**")
        left.markdown(f"{stage.idea} *{stage.paper}.*")
        run = best[key]
        if run is None:
            right.caption("Not trained yet on this machine.")
            continue
        loss = run.status.best_val_loss
        with right.container(horizontal=True, gap="medium"):
            st.metric("Validation loss", words.loss(loss), help="Nats a character over the whole validation split.")
            st.metric("Bits", f"{loss / math.log(2):.3f}", help="The same in bits a character.")
            st.metric("Choices", f"{math.exp(loss):.2f}", help="e^loss: as unsure as an even choice among this many.")
            st.metric("Parameters", f"{run.status.parameters or 0:,}", help="Trained numbers.")
        written = runs.samples(run.path)
        if written:
            line = next((part for part in written[-1].text.split("\n") if len(part) > 20), written[-1].text[:60])
            left.markdown(f"> {words.plain(line.strip()[:90])}")

st.subheader("One loss to compare them by")
losses = {STAGES[k].title: r.status.best_val_loss for k, r in best.items() if r is not None}
st.plotly_chart(loss_ladder(losses, [(m.label, m.value) for m in marks]), key="ladder")
st.caption(
    "Dashed: what needs no training. Guessing evenly costs ln 65; knowing how frequent each character is, and which "
    "pairs are common, costs less. All are computed from the text when this page is drawn."
)
