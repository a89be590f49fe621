"""Teaching a model to think before its tokens: data, objective and training of Quiet-STaR."""
