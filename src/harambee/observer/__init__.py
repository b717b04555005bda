"""An observer: a replica that checks everything and votes on nothing."""
