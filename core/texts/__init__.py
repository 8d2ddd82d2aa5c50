"""Texts to learn from: Tiny Shakespeare and one's own."""
