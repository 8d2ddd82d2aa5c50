"""The Transformer's page."""

from pages.ui.rung import rung
from pages.ui.views import embeddings, parameters

rung("transformer", parameters, embeddings)
