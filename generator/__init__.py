"""Penstock: one experiment file in Git becomes verified manifests for KServe.

`pipeline.build` names the order of the work; every other module is one stage of it or one of its ends.
"""
