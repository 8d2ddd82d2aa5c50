"""The Transformer's page."""

from pages.ui.blocks import positions
from pages.ui.health import gradients, layers, updates
from pages.ui.reach import receptive_field
from pages.ui.rung import rung
from pages.ui.twins import gap
from pages.ui.views import embeddings, parameters

rung("transformer", gap, positions, receptive_field, layers, gradients, updates, embeddings, parameters)
