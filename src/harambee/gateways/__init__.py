"""Translations between the outside world and the port that a node offers; no rule lives here."""
