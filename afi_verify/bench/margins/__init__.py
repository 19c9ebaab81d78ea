"""Margins: how far the cases of each claim keep its truth from the wrong formulas."""
