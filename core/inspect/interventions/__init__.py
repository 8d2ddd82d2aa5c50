"""What becomes of a prediction when a part of the model is switched off or another one is put in its place."""
