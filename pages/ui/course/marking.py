"""What a browser needs to know the terms of the glossary: part of the page itself, sent once a tab."""

import json
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

from core.studies.course.glossary import TERMS

HERE = Path(__file__).parent


@cache
def markup() -> str:
    """Return the terms, the script that finds them, and how they look, as HTML."""
    terms = [
        {
            "name": term.name,
            "sentence": term.sentence,
            "spellings": [each.lower() for each in term.spellings],
            "address": term.page + (f"?{urlencode(term.query)}" if term.query else ""),
        }
        for term in TERMS
        if term.spellings
    ]
    data = json.dumps(terms).replace("</", "<\\/")
    style, script = ((HERE / f"glossary.{kind}").read_text("utf-8") for kind in ("css", "js"))
    return (
        f'<style>{style}</style><script type="application/json" id="bardlab-terms">{data}</script>'
        f"<script>addEventListener('DOMContentLoaded', () => {{\n{script}}});</script>"
    )
