global using TrainServe.Server.Errors;
