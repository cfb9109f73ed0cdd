"""The code of a campaign: what travels (`models`), what touches the world (`mails`), what decides (`flow`)."""
