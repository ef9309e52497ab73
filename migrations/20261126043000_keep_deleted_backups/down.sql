DROP TABLE deleted_backups;
