// An app under the OpenTelemetry Java agent, with none of our code: JDBC and Jedis.
// First it does its ordinary work, then its customers' table is read in bulk and two of its inputs are abused.

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Statement;
import redis.clients.jedis.Jedis;

class Shop {
    private static final int ORDINARY = 200;

    public static void main(String[] given) throws SQLException {
        String url = given[0], user = given[1], password = given[2], cache = given[3];
        try (Connection connection = DriverManager.getConnection(url, user, password); Jedis jedis = new Jedis(cache)) {
            for (int i = 0; i < ORDINARY; i++) {
                byId(connection, i);
                jedis.get("basket:" + i);
            }
            run(connection, "SELECT * FROM customers");
            run(connection, "SELECT id, name FROM customers WHERE name = '" + given[4] + "'");
            jedis.configSet("slowlog-max-len", "100");
        }
    }

    private static void byId(Connection connection, int id) throws SQLException {
        try (PreparedStatement one = connection.prepareStatement("SELECT id, name FROM customers WHERE id = ?")) {
            one.setInt(1, id);
            one.executeQuery().next();
        }
    }

    private static void run(Connection connection, String sql) throws SQLException {
        try (Statement one = connection.createStatement()) {
            one.executeQuery(sql).next();
        }
    }
}
