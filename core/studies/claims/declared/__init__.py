"""The claims, one a file: each says what is run, what is measured, what counts as reproduced, and in which words."""
