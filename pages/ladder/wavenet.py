"""The WaveNet's page."""

from pages.ui.health import layers, updates
from pages.ui.reach import dilations, receptive_field
from pages.ui.rung import rung
from pages.ui.views import embeddings, parameters

rung("wavenet", dilations, receptive_field, layers, updates, embeddings, parameters)
