"""The databases under test."""

from etcd import Etcd
from mariadb import Mariadb
from postgres import Postgres
from redis import Redis
from rocksdb import Rocksdb
from sqlite import Sqlite

DATABASES = [Sqlite, Postgres, Redis, Etcd, Rocksdb, Mariadb]
