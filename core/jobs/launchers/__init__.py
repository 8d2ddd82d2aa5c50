"""Where jobs run: one small interface, a module for each way to start a worker."""
