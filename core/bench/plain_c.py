"""llama2.c as it is, from a source file given by the caller: the plain C program that writing is timed beside.

Nothing of it is in this repository. Its `run.c` is compiled, and it is given a model file and a tokenizer file in its
own published formats, with random weights: as many multiply-adds a character as one of our Transformers, so its gated
feed-forward layer of three matrices is two thirds as wide as ours of two.
"""

import re
import shutil
import struct
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import numpy as np

from core.errors import BardlabError
from core.models.transformer import TransformerConfig

FLAGS = ("-O3", "-march=native", "-ffast-math")


class PlainC:
    """A compiled llama2.c with a model of the sizes of ours, for as long as a `with` lasts."""

    def __init__(self, source: Path, config: TransformerConfig, vocab_size: int) -> None:
        """Compile it and write its files. Raises BardlabError if there is no source, or no compiler."""
        compiler = shutil.which("cc") or shutil.which("gcc")
        if not source.is_file():
            raise BardlabError(f"there is no {source}; give the run.c of a llama2.c checkout")
        if compiler is None:
            raise BardlabError("no C compiler was found; install gcc, or leave out --beside-c")
        self._room = TemporaryDirectory()
        room = Path(self._room.name)
        self.program, self.model, self.tokenizer = room / "run", room / "model.bin", room / "tokenizer.bin"
        subprocess.run([compiler, *FLAGS, "-o", str(self.program), str(source), "-lm"], check=True, capture_output=True)
        self.context = config.context
        self.multiply_adds = _write_model(self.model, config, vocab_size)
        _write_tokenizer(self.tokenizer, vocab_size)

    def seconds_a_character(self) -> float:
        """Let it write a whole context by itself; it says itself how fast it was, over what it wrote."""
        options = ["-z", str(self.tokenizer), "-n", str(self.context), "-t", "0"]
        ran = subprocess.run([str(self.program), str(self.model), *options], check=True, capture_output=True)
        told = re.search(rb"tok/s: ([0-9.]+)", ran.stderr)
        if told is None:
            raise BardlabError("the C program did not say how fast it was; its version may be another")
        return 1 / float(told.group(1))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._room.cleanup()


def _write_model(path: Path, config: TransformerConfig, vocab_size: int) -> int:
    """Seven sizes, then all weights in its order; returns its multiply-adds a character in products with weights."""
    C, layers, hidden = config.d_model, config.n_layer, 8 * config.d_model // 3
    random = np.random.default_rng(1)
    sizes = (C, hidden, layers, config.n_head, config.n_head, -vocab_size, config.context)  # -: an output table apart
    matrices = [layers * C * C] * 4, [layers * C * hidden] * 3  # by their group, each as many numbers as it has
    with path.open("wb") as file:
        file.write(struct.pack("7i", *sizes))

        def put(count: int, *, ones: bool = False) -> None:
            values = np.ones(count) if ones else random.normal(0, 0.02, count)
            file.write(values.astype(np.float32).tobytes())

        put(vocab_size * C)  # the table of characters
        put(layers * C, ones=True)
        for count in matrices[0]:
            put(count)  # queries, keys, values, what is written
        put(layers * C, ones=True)
        for count in matrices[1]:
            put(count)  # the feed-forward layer
        put(C, ones=True)
        put(config.context * C // config.n_head, ones=True)  # once tables of angles, passed over now
        output = random.normal(0, 0.02, (vocab_size, C))
        output[1] = 0  # character 1 would end the text; always taking the likeliest, it is never taken
        file.write(output.astype(np.float32).tobytes())
    return sum(map(sum, matrices)) + vocab_size * C


def _write_tokenizer(path: Path, vocab_size: int) -> None:
    """Longest piece, then of each its score, its length and its bytes."""
    with path.open("wb") as file:
        file.write(struct.pack("i", 2))
        for i in range(vocab_size):
            piece = bytes([33 + i]) if i < 90 else f"{i}".encode()
            file.write(struct.pack("fi", 0.0, len(piece)) + piece)
