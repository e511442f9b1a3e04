"""A shop on MongoDB."""

import sys

import pymongo


def main(url: str) -> None:
    """Run every command once."""
    with pymongo.MongoClient[dict[str, object]](url) as client:
        database = client.get_default_database()
        database["orders"].insert_one({"item": "tea"})
        database["orders"].find_one({"item": "tea"})
        database["carts"].update_one({"item": "tea"}, {"$set": {"count": 2}})
        database["carts"].delete_one({"item": "tea"})
        list(database["stock"].aggregate([{"$match": {"item": "tea"}}]))
        database["jobs"].find_one_and_update({"done": False}, {"$set": {"done": True}})
        database["jobs"].create_index("done")
        database.list_collection_names()


if __name__ == "__main__":
    main(sys.argv[1])
