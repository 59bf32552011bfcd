"""Measurements beside the peers, each in one run: python -m tests.bench [NAME ...]"""
