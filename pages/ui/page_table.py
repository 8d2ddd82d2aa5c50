"""Every page, once: the frame draws the navigation from this table, tests walk it."""

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from core.stages import STAGES

ICONS = {
    "bigram": ":material/table_chart:",
    "mlp": ":material/scatter_plot:",
    "wavenet": ":material/account_tree:",
    "residual": ":material/layers:",
    "transformer": ":material/hub:",
}


def rung_page(key: str) -> StreamlitPage:
    """The page of one rung."""
    stage = STAGES[key]
    return st.Page(f"ladder/{key}.py", title=stage.title, icon=ICONS.get(key), url_path=key, help=stage.idea)


def page_table() -> dict[str, list[StreamlitPage]]:
    """The pages by section, in the order of the sidebar."""
    ladder = st.Page(
        "ladder/overview.py",
        title="The ladder",
        icon=":material/stairs_2:",
        url_path="ladder",
        default=True,
        help="All rungs, from the bigram to the Transformer, on one text and one loss.",
    )
    return {
        "Learn": [ladder, *(rung_page(key) for key in STAGES)],
        "Use": [
            st.Page(
                "use/write.py",
                title="Write",
                icon=":material/edit_note:",
                url_path="write",
                help="Let a trained model write, with temperature, top-k and top-p.",
            ),
            st.Page(
                "use/runs.py",
                title="Runs",
                icon=":material/list_alt:",
                url_path="runs",
                help="All runs: open, name, note, pin, stop, resume, repeat with a change, export, delete.",
            ),
            st.Page(
                "use/compare.py",
                title="Compare",
                icon=":material/compare_arrows:",
                url_path="compare",
                help="Runs side by side: curves, what changed, and what it is worth over seeds.",
            ),
            st.Page(
                "use/sweeps.py",
                title="Sweeps",
                icon=":material/grid_view:",
                url_path="sweeps",
                help="Many runs over one or two settings, and loss against cost.",
            ),
            st.Page(
                "use/text.py",
                title="The text",
                icon=":material/menu_book:",
                url_path="text",
                help="What the models read: Tiny Shakespeare or a text of your own, and how characters become numbers.",
            ),
        ],
    }
