"""The course: a tour through the product, exercises, the terms of the field, and how far a learner is."""
