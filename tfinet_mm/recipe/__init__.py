"""A whole recipe in one command: trainings, pseudo labels, trainings on them, tests, one table."""

from tfinet_mm.recipe.config import Network, PseudoLabels, Recipe, load_recipe
from tfinet_mm.recipe.plan import Launch, Plan, make_plan
from tfinet_mm.recipe.run import RecipeRunner, choose_stages
from tfinet_mm.recipe.state import Stage
from tfinet_mm.recipe.table import collect_results, format_results, write_results

__all__ = [
    'Launch',
    'Network',
    'Plan',
    'PseudoLabels',
    'Recipe',
    'RecipeRunner',
    'Stage',
    'choose_stages',
    'collect_results',
    'format_results',
    'load_recipe',
    'make_plan',
    'write_results',
]
