"""Pure functions that look inside a trained model: model in, named arrays out."""
