"""The dock widget that filters, corrects, merges and draws localizations, and judges them."""
