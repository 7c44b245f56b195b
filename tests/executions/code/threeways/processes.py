"""Pool processes."""

from threeways.functions import define

define("processes")
