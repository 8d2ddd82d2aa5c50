"""The MLP's page."""

from pages.ui.rung import rung
from pages.ui.views import embeddings, parameters

rung("mlp", embeddings, parameters)
