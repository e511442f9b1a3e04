"""Globals in a serialised value that the rule ``hostile-payload`` matches; they are reported before all others.

The number of reported names is bounded. An attacker could fill that room with harmless classes, or with harmless names
of modules known from exploits. So the names that the rule matches come first, and one of them is enough.
"""

import re
from typing import Final

PREFIXES: Final = (
    "os.", "posix.", "nt.", "subprocess.", "commands.", "popen2.", "pty.", "shutil.", "socket.", "runpy.",
    "importlib.", "imp.", "zipimport.", "pkgutil.", "ctypes.", "code.interact", "code.Interactive",
    "code.compile_command", "codeop.", "pdb.", "bdb.", "marshal.", "webbrowser.", "timeit.", "cProfile.",
    "profile.run", "profile.Profile", "pip.", "pydoc.", "signal.", "tempfile.", "asyncio.", "multiprocessing.",
    "requests.", "urllib.", "http.", "smtplib.", "ftplib.", "linecache.", "fileinput.", "_posixsubprocess.",
    "_winapi.", "_imp.", "_ctypes.", "_socket.", "doctest.", "trace.main", "trace.Trace", "ensurepip.", "venv.",
    "distutils.", "_osx_support.", "_aix_support.", "uuid._", "logging.config.", "logging.handlers.", "idlelib.",
    "lib2to3.", "test.support.", "numpy.f2py.", "numpy.testing.", "?.",
)  # fmt: skip
"""Modules, and prefixes of names in them, that run code, load code or reach the system."""
GADGETS: Final = (
    "com.sun.rowset.JdbcRowSetImpl", "com.sun.org.apache.xalan.internal.xsltc.trax.", "org.apache.xalan.xsltc.trax.",
    "javax.script.ScriptEngine", "javax.management.BadAttributeValueExpException", "javax.management.loading.MLet",
    "javax.naming.", "java.lang.ProcessBuilder", "java.lang.ProcessImpl", "java.lang.Runtime",
    "java.net.URLClassLoader", "java.rmi.server.", "sun.rmi.server.",
    "sun.reflect.annotation.AnnotationInvocationHandler", "com.sun.jndi.", "bsh.", "groovy.",
    "org.apache.commons.collections.functors.", "org.apache.commons.collections4.functors.",
    "org.apache.commons.beanutils.BeanComparator", "org.apache.commons.configuration.",
    "org.apache.commons.fileupload.disk.", "org.apache.tomcat.dbcp.", "org.apache.commons.dbcp",
    "org.apache.ibatis.datasource.jndi.", "org.apache.shiro.jndi.", "org.apache.shiro.realm.jndi.",
    "org.apache.xbean.naming.", "org.apache.hadoop.shaded.com.zaxxer.", "org.codehaus.groovy.runtime.",
    "org.mozilla.javascript.", "org.python.core.",
    "org.springframework.context.support.ClassPathXmlApplicationContext",
    "org.springframework.context.support.FileSystemXmlApplicationContext",
    "org.springframework.beans.factory.config.PropertyPathFactoryBean",
    "org.springframework.beans.factory.ObjectFactory",
    "org.springframework.aop.support.AbstractBeanFactoryPointcutAdvisor",
    "org.springframework.core.SerializableTypeWrapper", "org.hibernate.jmx.StatisticsService", "com.mchange.v2.c3p0.",
    "com.zaxxer.hikari.HikariConfig", "ch.qos.logback.core.db.", "com.caucho.config.types.",
    "com.rometools.rome.feed.impl.", "com.sun.syndication.feed.impl.", "oracle.jdbc.rowset.",
    "oracle.toplink.internal.sessions.", "clojure.core.", "com.vaadin.data.util.", "net.sf.json.JSONObject",
    "System.Diagnostics.Process", "System.Windows.Data.ObjectDataProvider", "System.Windows.ResourceDictionary",
    "System.Windows.Markup.XamlReader", "System.Configuration.Install.AssemblyInstaller",
    "System.Activities.Presentation.WorkflowDesigner", "System.Security.Principal.WindowsIdentity",
    "System.Security.Principal.WindowsPrincipal", "System.Web.UI.LosFormatter", "System.Web.UI.ObjectStateFormatter",
    "System.Management.Automation.", "System.Data.Services.Internal.ExpandedWrapper", "System.Runtime.Remoting.",
    "System.DelegateSerializationHolder", "System.Workflow.ComponentModel.Serialization.",
    "System.IdentityModel.Tokens.SessionSecurityToken", "System.Resources.ResXResourceSet",
    "System.Drawing.Design.ToolboxItemContainer",
    "Microsoft.VisualStudio.Text.Formatting.TextFormattingRunProperties",
    "Microsoft.IdentityModel.Claims.WindowsClaimsIdentity", "System.Collections.Generic.ComparisonComparer",
    "System.AddIn.Hosting.", "System.Messaging.BinaryMessageFormatter", "Gem.Installer", "Gem.Requirement",
    "Gem.SpecFetcher", "Gem.Package.TarReader", "Gem.RequestSet", "Gem.Source", "Gem.Specification", "Gem.Version",
    "Gem.StubSpecification", "Gem.ConfigFile", "Gem.Resolver", "ActiveSupport.Deprecation.",
    "ActionDispatch.Routing.RouteSet.", "Net.BufferedIO", "Net.WriteAdapter", "Rails.Initializable.", "Rack.Builder",
    "ActiveModel.AttributeMethods.", "Monolog.Handler.", "GuzzleHttp.Cookie.", "GuzzleHttp.Psr7.FnStream",
    "Illuminate.Broadcasting.PendingBroadcast", "Illuminate.Bus.", "Illuminate.Foundation.Testing.PendingCommand",
    "Illuminate.Validation.", "Symfony.Component.Cache.Adapter.", "Symfony.Component.Process.", "Swift_", "Zend_Log",
    "Laminas.Cache.", "Doctrine.Common.Cache.", "Faker.Generator", "PHPUnit.", "Mockery.", "Smarty_Internal",
    "Twig.Environment", "yii.db.BatchQueryResult", "League.Flysystem.Cached.", "PHPExcel_", "TCPDF", "SoapClient",
    "SplFileObject",
)  # fmt: skip
"""Prefixes of classes of Java, .NET, Ruby and PHP by which published exploits run code when a value is read."""
THROUGH: Final = re.compile(
    r"\.(?:os|posix|nt|subprocess|_posixsubprocess|pty|shutil|runpy|importlib|ctypes|builtins|__builtins__)\."
)
"""A module that is reached through another one: ``logging.os.system`` is ``os.system``."""
FUNCTIONS: Final = frozenset((
    "builtins.eval", "builtins.exec", "builtins.execfile", "builtins.compile", "builtins.__import__", "builtins.open",
    "builtins.getattr", "builtins.setattr", "builtins.delattr", "builtins.globals", "builtins.locals",
    "builtins.vars", "builtins.breakpoint", "builtins.input", "builtins.apply", "builtins.file", "__builtin__.eval",
    "__builtin__.exec", "__builtin__.execfile", "__builtin__.compile", "__builtin__.__import__", "__builtin__.open",
    "__builtin__.getattr", "__builtin__.setattr", "__builtin__.apply", "__builtin__.file", "__builtin__.globals",
    "sys.modules", "sys.settrace", "sys.path", "operator.attrgetter", "operator.methodcaller", "_operator.attrgetter",
    "_operator.methodcaller", "functools.partial", "functools.reduce", "_functools.partial", "_functools.reduce",
    "io.open", "io.open_code", "io.FileIO", "_io.open", "_io.open_code", "_io.FileIO", "types.CodeType",
    "types.FunctionType", "inspect.currentframe", "platform.popen", "pickle.loads", "pickle.load", "_pickle.loads",
    "_pickle.load", "logging.FileHandler", "sqlite3.connect", "_sqlite3.connect", "sqlite3.Connection",
    "_sqlite3.Connection", "numpy.load", "pandas.eval", "torch.load", "joblib.load", "yaml.load", "yaml.unsafe_load",
))  # fmt: skip
"""Hostile names of modules that have harmless names, too."""

_STARTS: Final = (*PREFIXES, *GADGETS)


def is_hostile(name: str) -> bool:
    """Return whether the rule matches a value that imports this name.

    >>> is_hostile("posix.system"), is_hostile("logging.os.system"), is_hostile("shop.models.Basket")
    (True, True, False)
    """
    return name in FUNCTIONS or name.startswith(_STARTS) or THROUGH.search(name) is not None
