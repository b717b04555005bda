"""Daraja: the interface that merchants' software speaks with M-PESA, over the merchants' port."""
