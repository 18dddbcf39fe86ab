"""Where costs come from: the accounts file, the providers behind one protocol, and the sample exports."""
