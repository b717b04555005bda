"""HTTP for handsets and operators: JSON for people, plain records for programs."""
