"""What numba compiles: an interpreter of programs, the products below it, and the drawing of characters above it.

Importing a module of it needs numba; core/inference/loader.py does so, aside. The lock of Python's interpreter is not
held while anything here runs.

Letters: B texts, T characters of a text read at once, R rows of working memory, one for each character of each text, N
characters written in one call, V vocabulary.
"""
