"""The function app: one FunctionApp, the blueprints of the jobs, nothing else."""

import azure.functions as func

from functions.certificates.triggers import certificates
from functions.notifications.triggers import notifications
from functions.operations.triggers import operations
from functions.ota.triggers import ota
from functions.trips.triggers import trips

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
app.register_functions(trips)
app.register_functions(ota)
app.register_functions(certificates)
app.register_functions(notifications)
app.register_functions(operations)
