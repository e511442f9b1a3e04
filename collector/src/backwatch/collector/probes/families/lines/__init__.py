"""Line protocols: SMTP, IMAP, POP3, FTP."""
