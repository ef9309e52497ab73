DROP TABLE notices;
DROP TABLE channels;
