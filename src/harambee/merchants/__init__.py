"""Merchants at a super-agent: their credentials, the payments that they ask for, and what they are told.

A merchant's software speaks to any super-agent. What it may do there, and where it is called back, is
known to all of them; the key that moves the merchant's own money lies at one, its home. Nothing here
can debit a customer: she pays what was asked for by an order that her own key has signed.
"""
