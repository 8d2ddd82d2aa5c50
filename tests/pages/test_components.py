"""What reaches the browser: one script a component that parses, one format of messages, tested with Node itself.

Node is needed here only, never by the app. Without it these tests fail; they are not skipped.
"""

import json
import re
import subprocess
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.texts import labels
from pages.ui.components.shared import toolkit
from tests.message import unpack

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in toolkit.HERE.glob("*/*.css") if path.parent.name != "shared")
MODULES = sorted(path for path in toolkit.HERE.rglob("*.js") if path.parent.name != "vendor")


def node(*arguments: str, code: str = "") -> str:
    """Run Node and return what it prints; what it complains of fails the test."""
    done = subprocess.run(["node", *arguments], input=code, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_unit_tests_of_the_javascript_pass():
    told = node("--test", "--test-reporter=tap", *map(str, sorted((ROOT / "tests" / "js").glob("*.test.js"))))

    assert int(re.findall(r"^# pass (\d+)", told, re.MULTILINE)[-1]) > 20


@pytest.mark.parametrize("name", NAMES)
def test_a_component_is_one_script_that_parses(name: str):
    """No import is left, and no two modules use one name at top level, which would be an error of syntax."""
    script = toolkit.script(name)

    assert not re.search(r"^(import|export (?!default))", script, re.MULTILINE)
    assert script.count("\nexport default component(mount, update);") == 1
    node("--check", "--input-type=module", "-", code=script)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_modules_keep_to_what_is_joined(module: Path):
    """Imports are named, without renaming: more is not undone when modules are joined."""
    source = module.read_text("utf-8")

    source = re.sub(r'^import [A-Z]+ from "[./\w]+\.json" with \{ type: "json" \};$', "", source, flags=re.MULTILINE)
    assert not re.search(r"^import (?!\{)|\bas \w+ \}", source, re.MULTILINE)
    assert "import(" not in source
    assert max(map(len, source.splitlines())) <= 120


SIGNS = """
import { visible } from "./pages/ui/components/shared/characters.js";
const codes = %s;
console.log(JSON.stringify(codes.map((code) => {
  const c = String.fromCodePoint(code);
  return [visible(c), /\\p{Cn}/u.test(c)];
})));
"""


def test_scripts_and_python_show_a_character_by_the_same_sign():
    """Every one below U+3000 and a sample above; where one's Unicode is older than the other's, it may not know it."""
    codes = [*range(0x3000), *range(0x3000, 0x110000, 97), *range(0xFDF0, 0xFE20), *range(0xE00FF, 0xE01F1), 0xFEFF]
    codes = [code for code in codes if not 0xD800 <= code < 0xE000]
    shown = json.loads(node("--input-type=module", "-", code=SIGNS % codes))
    both = 0
    for code, (there, unknown) in zip(codes, shown, strict=True):
        if unknown == (unicodedata.category(chr(code)) == "Cn"):
            both += 1
            assert there == labels.visible(chr(code)).strip(labels.ISOLATE + labels.END_ISOLATE), f"U+{code:04X}"
    assert both > 0.99 * len(codes)


def test_every_kind_of_value_arrives(tmp_path: Path):
    """Arrays anywhere in a message, of every kind and of lengths that need padding; what is not finite is null."""
    header = {
        "key": "x</script>‮",
        "floats": toolkit.floats([1.5, -2, np.nan]),
        "rows": [{"whole": toolkit.whole([[1, 2, 65_535]]), "none": None}, {"bytes": np.array([255, 0], np.uint8)}],
        "empty": toolkit.floats([]),
        "loss": float("nan"),
        "number": np.int64(7),
        "true": True,
    }
    message = toolkit.message(header)
    (tmp_path / "message").write_bytes(message)
    wire = json.dumps((toolkit.HERE / "shared" / "wire.js").as_uri())
    code = f"""
      import {{ readFileSync }} from "node:fs";
      import {{ decode }} from {wire};
      const found = decode(readFileSync({json.dumps(str(tmp_path / "message"))}));
      const kinds = (_, v) => ArrayBuffer.isView(v) ? [v.constructor.name, ...Array.from(v, String)] : v;
      console.log(JSON.stringify(found, kinds));
    """
    told = json.loads(node("--input-type=module", "-", code=code))

    assert told["key"] == header["key"]
    assert told["floats"] == ["Float32Array", "1.5", "-2", "NaN"]
    assert told["rows"] == [
        {"whole": ["Uint16Array", "1", "2", "65535"], "none": None},
        {"bytes": ["Uint8Array", "255", "0"]},
    ]
    assert (told["empty"], told["loss"], told["number"], told["true"]) == (["Float32Array"], None, 7, True)
    again = unpack(message)
    np.testing.assert_array_equal(again["rows"][0]["whole"], [1, 2, 65_535])
    assert again["serial"] == told["serial"]


def test_a_message_names_its_content():
    """The same content has the same serial, other content another one, unless the sender gives it."""
    one, other = ({"values": toolkit.floats([1, last])} for last in (2, 3))

    assert unpack(toolkit.message(one))["serial"] == unpack(toolkit.message(one))["serial"]
    assert unpack(toolkit.message(one))["serial"] != unpack(toolkit.message(other))["serial"]
    assert unpack(toolkit.message({**one, "serial": "mine"}))["serial"] == "mine"


def test_what_a_component_tells_as_its_page_is_left_is_passed_over():
    """Then the server no longer knows it: whoever reads what was told does so where nothing is expected."""
    app = AppTest.from_string(
        "import streamlit as st\nfrom pages.ui.components.shared.toolkit import heard\n"
        "st.session_state['here'] = {'poll': 7}\nst.write(repr([heard(key, 'poll') for key in ('here', 'gone')]))"
    ).run()
    assert not app.exception and app.markdown[0].value == "[7, None]"

    for path in toolkit.HERE.glob("*/*.py"):
        assert "session_state[key]." not in path.read_text("utf-8"), path
