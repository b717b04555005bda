"""USSD: the menu behind *334#, as Africa's Talking brings what somebody typed (docs/feature-phones.md)."""
