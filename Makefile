# Two commands on a fresh machine: `make app` installs and serves, `make test` installs and runs every test.
# Each is a command of tasks.py, which does without make: `python tasks.py app`.

PYTHON ?= python3

.PHONY: app test check unit lint bench pretrained claims screenshots faults mutants gpu clean

app test check unit lint pretrained claims screenshots faults mutants clean:
	@$(PYTHON) tasks.py $@

bench:
	@$(PYTHON) tasks.py bench $(if $(NANOGPT),--beside $(NANOGPT))

gpu:
	@$(PYTHON) tasks.py gpu --out gpu $(if $(NANOGPT),--beside $(NANOGPT))
