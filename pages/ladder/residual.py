"""The residual network's page."""

from pages.ui.rung import rung
from pages.ui.views import embeddings, parameters

rung("residual", parameters, embeddings)
