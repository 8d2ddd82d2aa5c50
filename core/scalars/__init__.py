"""The scalar engine behind the page on gradient descent."""
