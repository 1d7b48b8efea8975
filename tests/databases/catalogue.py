"""The databases under test."""

from etcd import Etcd
from mariadb import Mariadb
from postgres import Postgres
from redis import Redis, RedisEverysec
from rocksdb import Rocksdb
from sqlite import Sqlite

DATABASES = [Sqlite, Postgres, Redis, RedisEverysec, Etcd, Rocksdb, Mariadb]
