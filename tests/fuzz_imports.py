"""Fuzzed uploads and imports: texts, `.pth`, `.safetensors`, runs. `python -m tests.fuzz_imports --examples 1000`.

Each input is either taken or refused in one line. Counted as failures: any other exception, a message of several
lines, code that ran, a file opened for writing, renamed or linked outside the data folders, anything left behind by a
refusal.
"""

import argparse
import io
import json
import os
import pickle
import random
import stat
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from safetensors.torch import save as save_tensors

from core import paths
from core.errors import BardlabError
from core.exchange import archive, weights
from core.exchange.reference_gpt import to_reference
from core.models.transformer import Transformer, TransformerConfig
from core.runs import editing, reading, records
from core.runs import state as runs_state
from core.texts import own
from core.texts.corpus import Corpus, load
from tests.hostile_imports import Files, a_stopped_run, recipes

KINDS = ("text", "pth", "nano", "safetensors", "run", "hostile")


# --- who watches -----------------------------------------------------------------------------------------------------


@dataclass
class Guard:
    """Notes, through the interpreter's audit hook, what reaches outside the folders that may be written."""

    allowed: tuple[str, ...] = ()
    on: bool = False
    seen: list[str] = field(default_factory=list)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """See one event of the interpreter."""
        if not self.on:
            return
        if event in ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "socket.connect"):
            self.seen.append(f"{event} {arguments[:1]}")
        writes = event == "open" and isinstance(arguments[1], str) and bool(set(arguments[1]) & set("wax+"))
        writes |= event == "open" and arguments[1] is None and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
        if writes or event in (
            "os.rename",
            "os.remove",
            "os.mkdir",
            "os.link",
            "os.symlink",
            "os.rmdir",
            "os.truncate",
        ):
            for path in arguments[: 2 if event in ("os.rename", "os.link", "os.symlink") else 1]:
                self._look(event, path)

    def _look(self, event: str, path: Any) -> None:
        if isinstance(path, int) or path is None:
            return
        name = os.path.realpath(os.fsdecode(path))
        if not name.startswith(self.allowed) and name != os.devnull and "/" in os.fsdecode(path):
            self.seen.append(f"{event} {name}")


_guard = Guard()
_hooked = False


def _watch() -> None:
    global _hooked
    if not _hooked:
        sys.addaudithook(_guard)
        _hooked = True


class Bomb:
    """An object that writes a file when it is unpickled."""

    def __init__(self, canary: str) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        """Tell pickle to make the file."""
        return open, (self.canary, "w")


# --- what is fed -----------------------------------------------------------------------------------------------------

MUTATIONS = st.lists(
    st.tuples(st.sampled_from(["flip", "cut", "insert", "zero", "repeat"]), st.floats(0, 1), st.integers(0, 255)),
    max_size=4,
)


def mutated(content: bytes, changes: list[tuple[str, float, int]]) -> bytes:
    """Spoil some bytes."""
    out = bytearray(content)
    for how, where, value in changes:
        at = int(where * max(0, len(out) - 1))
        if how == "flip" and out:
            out[at] ^= value or 1
        elif how == "cut":
            del out[at:]
        elif how == "insert":
            out[at:at] = bytes([value]) * 3
        elif how == "zero":
            out[at : at + value] = bytes(min(value, len(out) - at))
        elif how == "repeat":
            out += out[at : at + 200]
    return bytes(out)


def a_text() -> st.SearchStrategy[bytes]:
    """Bytes that claim to be a text."""
    good = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).map(lambda t: (t * 1000)[:9000].encode())
    odd = st.sampled_from([b"", b" " * 2000, b"a" * 2000, "ab".encode("utf-16") * 900, b"\xff" * 2000, b"ab\x00" * 700])
    many = st.integers(900, 1200).map(lambda n: "".join(chr(0x4E00 + i) for i in range(n)).encode() * 2)
    return st.one_of(st.binary(max_size=3000), st.tuples(good, MUTATIONS).map(lambda p: mutated(*p)), odd, many, good)


def a_state(base: dict[str, torch.Tensor], canary: str) -> st.SearchStrategy[Any]:
    """A state dict with something wrong with it, or none at all."""
    names = sorted(base)

    def spoil(choice: tuple[str, str, int]) -> Any:
        how, name, number = choice
        state: dict[Any, Any] = dict(base)
        tensor = state[name]
        shapes = {"flat": tensor.reshape(-1), "wide": torch.cat([tensor, tensor]), "empty": tensor[:0]}
        values = {
            "nan": torch.full_like(tensor, float("nan")),
            "inf": torch.full_like(tensor, float("-inf")),
            "int": tensor.to(torch.int32),
            "complex": tensor.to(torch.complex64),
            "huge": torch.empty(1).expand(3_000_000, 5),
            "text": "weights",
            "none": None,
            "list": [1.0, 2.0],
            "bomb": Bomb(canary),
        }
        if how in shapes or how in values:
            state[name] = (shapes | values)[how]
        elif how == "lack":
            del state[name]
        elif how == "extra":
            state[f"blocks.{number}.sa.heads.{number}.key.weight"] = tensor
        elif how == "key":
            state[number] = tensor
        elif how == "name":
            state["\n".join([name, "<img src=x onerror=alert(1)>"])] = state.pop(name)
        elif how == "other":
            return [state, [tensor], tensor, 3, "no", None, {"model": state}, Bomb(canary)][number % 8]
        return state

    ways = ["flat", "wide", "empty", "nan", "inf", "int", "complex", "huge", "text", "none", "list", "bomb"]
    ways += ["lack", "extra", "key", "name", "other", "good"]
    return st.tuples(st.sampled_from(ways), st.sampled_from(names), st.integers(0, 9)).map(spoil)


def _torch_bytes(state: Any) -> bytes:
    out = io.BytesIO()
    torch.save(state, out)
    return out.getvalue()


def a_pth(base: dict[str, torch.Tensor], canary: str) -> st.SearchStrategy[bytes]:
    """A file that claims to be a state dict: spoiled before or after it was saved, or a plain pickle."""
    good = _torch_bytes(base)
    return st.one_of(
        a_state(base, canary).map(_torch_bytes),
        MUTATIONS.map(lambda changes: mutated(good, changes)),
        st.sampled_from([pickle.dumps(Bomb(canary)), pickle.dumps({"a": 1}), b"", b"PK\x03\x04", b"\x80\x02"]),
        st.binary(max_size=300),
    )


def a_hostile(files: Files) -> st.SearchStrategy[bytes]:
    """A file made to hurt, of a size that does not."""
    names = sorted(recipes(files, 2_000_000, random.Random(0)))
    return st.tuples(st.sampled_from(names), st.integers(0, 10**6), MUTATIONS | st.just([])).map(
        lambda chosen: mutated(recipes(files, 2_000_000, random.Random(chosen[1]))[chosen[0]](), chosen[2])
    )


def a_safetensors(base: dict[str, torch.Tensor]) -> st.SearchStrategy[bytes]:
    """A file that claims to be safetensors."""

    def saved(state: Any) -> bytes:
        tensors = {str(k): v for k, v in state.items() if isinstance(v, torch.Tensor) and v.numel() < 1e6}
        return save_tensors({k: v.contiguous().clone() for k, v in tensors.items()})  # none may share memory

    good = saved(base)
    header = st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    ).map(lambda value: json.dumps({"w": value}).encode())
    return st.one_of(
        a_state(base, "").filter(lambda s: isinstance(s, dict)).map(saved),
        MUTATIONS.map(lambda changes: mutated(good, changes)),
        header.map(lambda text: len(text).to_bytes(8, "little") + text),
        st.integers(0, 2**64 - 1).map(lambda n: n.to_bytes(8, "little") + b"{" + good[9:]),
    )


NASTY = (
    "../../evil", "/etc/evil", "..\\..\\evil", "C:/evil", "run/../../evil", "run/./x", "run//x", "CON", "run/\nname",
    "run/export/x.html", "run/snapshots/../../evil", "evil\u202egpj.exe", "x" * 300, "run/snapshots/step-1.safetensors",
)  # fmt: skip
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["<img src=x onerror=alert(1)>", ":red[x]", "../../x", "running", 10**400, -1, [], {}, "pretrained/x"]
    ),
)


def a_run(good: dict[str, bytes], canary: str) -> st.SearchStrategy[bytes]:
    """A zip file that claims to be an exported run."""

    def spoil(choice: tuple[str, str, Any, str, list[tuple[str, float, int]]]) -> bytes:
        how, name, value, nasty, changes = choice
        files = dict(good)
        link = None
        if how == "mutate":
            files[name] = mutated(files[name], changes)
        elif how == "lack":
            del files[name]
        elif how == "json":
            file = ("config.json", "status.json", "label.json")[len(nasty) % 3]
            about = json.loads(files.get(file, b"{}"))
            keys = [*about, "extra"]
            key = keys[len(str(value)) % len(keys)]
            about[key] = value
            if isinstance(about.get("model"), dict) and len(nasty) % 2:
                inner = list(about["model"])
                about["model"][inner[len(str(value)) % len(inner)]] = value
            files[file] = json.dumps(about).encode()
        elif how == "nasty":
            files[nasty] = b"evil"
        elif how == "link":
            link = "snapshots/step-1.safetensors"
        elif how == "bomb":
            files["trainer.pt"] = pickle.dumps(Bomb(canary))
            files["status.json"] = json.dumps({**json.loads(files["status.json"]), "state": "stopped"}).encode()
        elif how == "events":
            files["events.out.tfevents.9999999999.x"] = mutated(os.urandom(50) * 3, changes)
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as zipped:
            for path, content in files.items():
                zipped.writestr(path if path == nasty else f"run/{path}", content)
            if link:
                entry = zipfile.ZipInfo(f"run/{link}")
                entry.external_attr = (stat.S_IFLNK | 0o777) << 16
                zipped.writestr(entry, "/etc/passwd")
        return mutated(out.getvalue(), changes) if how == "zip" else out.getvalue()

    ways = ["mutate", "lack", "json", "json", "json", "nasty", "link", "bomb", "events", "zip", "good"]
    parts = st.tuples(st.sampled_from(ways), st.sampled_from(sorted(good)), VALUES, st.sampled_from(NASTY), MUTATIONS)
    return parts.map(spoil)


# --- the run of it ---------------------------------------------------------------------------------------------------


def _small_text() -> Corpus:
    whole = load()
    return replace(whole, text=whole.text[-3000:])


def _good_run(state: dict[str, torch.Tensor]) -> dict[str, bytes]:
    """The files of an exported run of a tiny Transformer."""
    run = weights.import_pth(_torch_bytes(state))
    with zipfile.ZipFile(archive.export_run(run)) as zipped:
        found = {name.partition("/")[2]: zipped.read(name) for name in zipped.namelist()}
    editing.delete(run)
    return found


def _nano_state() -> dict[str, torch.Tensor]:
    """A checkpoint under nanoGPT's names."""
    shapes = {"wte": (65, 8), "wpe": (8, 8), "ln_f": (8,), "h.0.ln_1": (8,), "h.0.ln_2": (8,)}
    shapes |= {
        "h.0.attn.c_attn": (24, 8),
        "h.0.attn.c_proj": (8, 8),
        "h.0.mlp.c_fc": (32, 8),
        "h.0.mlp.c_proj": (8, 32),
    }
    return {f"transformer.{name}.weight": 0.2 * torch.randn(size) for name, size in shapes.items()}


def _left_over() -> list[str]:
    folders = [paths.runs(), own.folder()]
    return [
        p.name for folder in folders if folder.exists() for p in folder.iterdir() if p.name.startswith(".importing")
    ]


def fuzz(examples: int = 1000, number: int = 0) -> dict[str, Any]:
    """Feed `examples` inputs, as many of each kind, in a home of their own. Returns counts and what failed."""
    _watch()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as home, pytest.MonkeyPatch.context() as patch:
        load()  # before the new home, so that its cache is not counted
        patch.setenv("BARDLAB_HOME", home)
        load()
        small = _small_text()
        patch.setattr(weights, "load_corpus", lambda *_: small)
        _guard.allowed = (
            os.path.realpath(home) + os.sep,
            os.path.realpath(home),
            tempfile.gettempdir() + os.sep + "tmp",
        )
        canary = str(Path(home).parent / f"canary-{os.getpid()}")
        torch.manual_seed(0)
        model = Transformer(TransformerConfig(n_layer=1, n_head=2, d_model=8, context=8), small.tokenizer.size)
        state = to_reference(model)
        feeds: dict[str, tuple[st.SearchStrategy[bytes], Callable[[bytes], object]]] = {
            "text": (a_text(), lambda content: own.add(content, "<img src=x onerror=alert(1)>")),
            "pth": (a_pth(state, canary), lambda content: archive.bring_in(content, file_name="../a\n<b>.pth")),
            "nano": (a_pth(_nano_state(), canary), lambda content: archive.bring_in(content, file_name="ckpt.pt")),
            "hostile": (a_hostile(a_stopped_run()), lambda content: archive.bring_in(content, file_name="run.zip")),
            "safetensors": (a_safetensors(state), lambda content: archive.bring_in(content, file_name="w.safetensors")),
            "run": (a_run(_good_run(state), canary), lambda content: archive.bring_in(content, file_name="run.zip")),
        }
        counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        failures: list[str] = []
        for kind, (strategy, take) in feeds.items():
            _feed(kind, strategy, take, max(1, examples // len(feeds)), number, counts[kind], failures)
        if Path(canary).exists():
            failures.append("code in a file was executed")
            Path(canary).unlink()
    failures += [f"reached outside: {what}" for what in dict.fromkeys(_guard.seen)]
    _guard.seen.clear()
    return {
        "inputs": sum(sum(c.values()) for c in counts.values()),
        "taken": {kind: c["taken"] for kind, c in counts.items()},
        "refused": {kind: c["refused"] for kind, c in counts.items()},
        "failures": failures[:20],
        "seconds": round(time.perf_counter() - began, 1),
    }


def _feed(
    kind: str,
    strategy: st.SearchStrategy[bytes],
    take: Callable[[bytes], object],
    examples: int,
    number: int,
    counts: Counter[str],
    failures: list[str],
) -> None:
    @seed(number)
    @settings(
        max_examples=examples, database=None, deadline=None, derandomize=False, suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def one(content: bytes) -> None:
        before = len(reading.list_runs())
        _guard.on = True
        try:
            made = take(content)
        except BardlabError as error:
            _guard.on = False
            counts["refused"] += 1
            message = str(error)
            if "\n" in message or not 10 < len(message) < 400:
                failures.append(f"{kind}: not one line: {message[:200]!r}")
            if len(reading.list_runs()) != before:
                failures.append(f"{kind}: a run was left behind by a refusal: {message}")
        except Exception as error:
            _guard.on = False
            failures.append(f"{kind}: {type(error).__name__}: {str(error)[:200]}")
        else:
            _guard.on = False
            counts["taken"] += 1
            if isinstance(made, runs_state.Run):
                if made.damage or made.path.parent != paths.runs():
                    failures.append(f"{kind}: taken, but {made.damage or made.path}")
                records.samples(made.path), records.validation_curve(made.path), records.log_tail(made.path)
                editing.delete(made)
        finally:
            _guard.on = False
        if left := _left_over():
            failures.append(f"{kind}: left behind: {left[:3]}")

    one()


def main() -> None:
    """Run the long form and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    result = fuzz(chosen.examples, chosen.seed)
    print(json.dumps(result, ensure_ascii=False, indent=2))
    raise SystemExit(1 if result["failures"] else 0)


if __name__ == "__main__":
    main()
