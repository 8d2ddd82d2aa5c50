"""Run folders: their layout, reading, editing, requests to the worker."""
