"""The MLP's page."""

from pages.ui.health import layers, updates
from pages.ui.reach import receptive_field
from pages.ui.rung import rung
from pages.ui.twins import gap
from pages.ui.views import embeddings, parameters

rung("mlp", embeddings, layers, updates, gap, receptive_field, parameters)
