"""Figures of the customer experience, with their formulas and likely ranges."""

from tenure.kpis.registry import FIGURES, Figure
from tenure.kpis.run import KpiResult, compute, kpis
from tenure.kpis.words import summary, to_json

__all__ = ["FIGURES", "Figure", "KpiResult", "compute", "kpis", "summary", "to_json"]
