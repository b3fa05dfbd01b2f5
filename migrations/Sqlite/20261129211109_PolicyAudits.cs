using System;
using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace Portal.Data.Sqlite
{
    /// <inheritdoc />
    public partial class PolicyAudits : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<Guid>(
                name: "EndpointId",
                table: "Responses",
                type: "TEXT",
                nullable: true);

            migrationBuilder.CreateTable(
                name: "AuditTexts",
                columns: table => new
                {
                    JobId = table.Column<Guid>(type: "TEXT", nullable: false),
                    PromptId = table.Column<Guid>(type: "TEXT", nullable: false),
                    Side = table.Column<int>(type: "INTEGER", nullable: false),
                    Ordinal = table.Column<int>(type: "INTEGER", nullable: false),
                    Part = table.Column<int>(type: "INTEGER", nullable: false),
                    Status = table.Column<int>(type: "INTEGER", nullable: false),
                    ResponseId = table.Column<Guid>(type: "TEXT", nullable: true),
                    Finished = table.Column<bool>(type: "INTEGER", nullable: false),
                    LogProbAudited = table.Column<double>(type: "REAL", nullable: true),
                    LogProbBase = table.Column<double>(type: "REAL", nullable: true),
                    Problem = table.Column<string>(type: "TEXT", maxLength: 500, nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_AuditTexts", x => new { x.JobId, x.PromptId, x.Side, x.Ordinal });
                });

            migrationBuilder.CreateTable(
                name: "PolicyAudits",
                columns: table => new
                {
                    JobId = table.Column<Guid>(type: "TEXT", nullable: false),
                    ProjectId = table.Column<Guid>(type: "TEXT", nullable: false),
                    Number = table.Column<int>(type: "INTEGER", nullable: false),
                    AuditedId = table.Column<Guid>(type: "TEXT", nullable: true),
                    BaseId = table.Column<Guid>(type: "TEXT", nullable: false),
                    AuditedEndpointId = table.Column<Guid>(type: "TEXT", nullable: true),
                    BaseEndpointId = table.Column<Guid>(type: "TEXT", nullable: true),
                    AuditedName = table.Column<string>(type: "TEXT", maxLength: 200, nullable: false),
                    BaseName = table.Column<string>(type: "TEXT", maxLength: 200, nullable: false),
                    ReferenceId = table.Column<Guid>(type: "TEXT", nullable: true),
                    SaeId = table.Column<Guid>(type: "TEXT", nullable: true),
                    Seed = table.Column<long>(type: "INTEGER", nullable: false),
                    PromptSource = table.Column<int>(type: "INTEGER", nullable: false),
                    Prompts = table.Column<int>(type: "INTEGER", nullable: false),
                    PromptsOfTraining = table.Column<int>(type: "INTEGER", nullable: false),
                    Pairs = table.Column<int>(type: "INTEGER", nullable: false),
                    Folder = table.Column<string>(type: "TEXT", nullable: false),
                    ManifestSha256 = table.Column<string>(type: "TEXT", maxLength: 64, nullable: false),
                    Identifiable = table.Column<int>(type: "INTEGER", nullable: false),
                    Faithful = table.Column<int>(type: "INTEGER", nullable: false),
                    Spurious = table.Column<int>(type: "INTEGER", nullable: false),
                    Sentence = table.Column<string>(type: "TEXT", maxLength: 2000, nullable: false),
                    Method = table.Column<string>(type: "TEXT", nullable: false),
                    Accuracy = table.Column<double>(type: "REAL", nullable: true),
                    AccuracyLow = table.Column<double>(type: "REAL", nullable: true),
                    AccuracyHigh = table.Column<double>(type: "REAL", nullable: true),
                    Undetermined = table.Column<double>(type: "REAL", nullable: true),
                    Distance = table.Column<double>(type: "REAL", nullable: true),
                    DistanceLow = table.Column<double>(type: "REAL", nullable: true),
                    DistanceHigh = table.Column<double>(type: "REAL", nullable: true),
                    IncentivesFound = table.Column<int>(type: "INTEGER", nullable: false),
                    IsSynthetic = table.Column<bool>(type: "INTEGER", nullable: false),
                    CreatedBy = table.Column<Guid>(type: "TEXT", nullable: true),
                    At = table.Column<long>(type: "INTEGER", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_PolicyAudits", x => x.JobId);
                    table.ForeignKey(
                        name: "FK_PolicyAudits_Projects_ProjectId",
                        column: x => x.ProjectId,
                        principalTable: "Projects",
                        principalColumn: "Id",
                        onDelete: ReferentialAction.Restrict);
                });

            migrationBuilder.CreateIndex(
                name: "IX_PolicyAudits_AuditedId_At",
                table: "PolicyAudits",
                columns: new[] { "AuditedId", "At" });

            migrationBuilder.CreateIndex(
                name: "IX_PolicyAudits_BaseId_At",
                table: "PolicyAudits",
                columns: new[] { "BaseId", "At" });

            migrationBuilder.CreateIndex(
                name: "IX_PolicyAudits_ProjectId_Number",
                table: "PolicyAudits",
                columns: new[] { "ProjectId", "Number" },
                unique: true);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "AuditTexts");

            migrationBuilder.DropTable(
                name: "PolicyAudits");

            migrationBuilder.DropColumn(
                name: "EndpointId",
                table: "Responses");
        }
    }
}
