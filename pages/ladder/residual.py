"""The residual network's page."""

from functools import partial

from pages.ui.health import gradients, layers, updates
from pages.ui.reach import receptive_field
from pages.ui.rung import rung
from pages.ui.twins import by_depth
from pages.ui.views import embeddings, parameters

rung("residual", partial(gradients, setting="skip"), by_depth, layers, updates, receptive_field, embeddings, parameters)
