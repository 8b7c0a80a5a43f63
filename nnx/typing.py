"""The names that signatures use. Arrays of any library share no base class, so an array is ``Any`` to the type checker."""

from typing import Any

Array = Any
"""An array of any library that speaks the Array API standard, traced or not."""

Namespace = Any
"""A module of the Array API standard: ``array_api_compat.numpy``, ``jax.numpy``, ``array_api_strict`` or one of ours."""
