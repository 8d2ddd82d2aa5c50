"""Where the reference Transformer keeps to "Attention is all you need", and where it departs from it."""

import streamlit as st

from core.inspect.paper import departures
from core.ladder.registry import RUNGS
from core.models.transformer import TransformerConfig
from pages.ui import loaders, state
from pages.ui.choosers import in_view
from pages.ui.components.pictures.picture import picture
from pages.ui.drawings.block_diagram import block_diagram
from pages.ui.navigation import rung_page
from pages.ui.wording import plain

rung = RUNGS["transformer"]
state.notices()
st.markdown(
    f"The last rung stands on [{rung.paper}]({rung.paper_url}), but it is not that model. Here are the points at "
    "which the two differ, and those at which they agree. The paper's side says what its sections say; the model's "
    "side is read off the live model, its settings and its optimiser, so it changes with them."
)
above, numbers = st.container(horizontal=True, gap="large"), st.container(horizontal=True, gap="medium")
preset = in_view.choice(
    above.segmented_control,
    "Model",
    list(rung.presets),
    name="preset",
    default="reference",
    required=True,
    format_func=lambda name: plain(rung.title_of_preset(name)),
    key="of-paper.preset",
    help="Whose settings stand on the model's side. The reference is the GPT that the ladder ends with.",
)
model, train = rung.settings(preset, {}, {})
assert isinstance(model, TransformerConfig)
points, shapes = departures(model, train, loaders.corpus().tokenizer.size)
kept = sum(point.kept for point in points)
with numbers:
    st.metric("Parameters", f"{shapes.parameters:,}", help="Counted on the live module.")
    st.metric("Kept", kept, help="Points at which the model does as the paper says; sizes may differ.")
    st.metric("Departed", len(points) - kept, help="Points at which it does not.")
shown = in_view.choice(
    above.segmented_control,
    "Show",
    ["departures", "all"],
    name="show",
    default="all",
    required=True,
    key="of-paper.shown",
    help="All points, or only those at which the two differ.",
)
for point in points:
    if point.kept and shown == "departures":
        continue
    with st.container(border=True):
        name, paper, ours = st.columns([2, 3, 3], gap="medium")
        badge = ":green-badge[kept]" if point.kept else ":orange-badge[departs]"
        name.markdown(f"**{point.topic}**  \n{badge}")
        paper.caption(f"Paper, {'section ' if point.section[0].isdigit() else ''}{point.section}")
        paper.markdown(point.paper)
        ours.caption("This model")
        ours.markdown(point.model)
        if point.why and not point.kept:
            ours.caption(point.why)
st.header("The model, block by block")
st.caption("With the shapes of one training step. Hover a box for its weights.")
picture(*block_diagram(model, shapes), key="paper.diagram")
st.page_link(rung_page("transformer"), label="Train it, with other settings", icon=":material/hub:")
