"""Rules, measures, scorecards, reviews, pay runs and recognition. Nothing of it is built yet; its place in the layers is."""
